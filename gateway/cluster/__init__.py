"""Coordination between gateways: the leader lease and the assignment of tasks."""
