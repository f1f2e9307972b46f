"""What an operator says of tenants: limits, weights, defaults of webhooks; and what holds jobs and files to it."""
