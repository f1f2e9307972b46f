"""Results that are composed of ranges of others, and pieces of ranges of their source: what gateways and encoders agree
on."""

# Initial metadata of an encoder that takes a task: it knows results that are composed, and inputs of which no more than
# their index comes. One of an earlier version would take the holes of such an input for what was encoded.
COMPOSES = "x-composes"
# The same of one that knows pieces with an index of their own: of their source it needs no more than their packets.
OWN_INDEXES = "x-own-indexes"
# Those of a day of sound and pictures, side by side in stretches of two seconds.
MAX_COMPOSED = 100_000
