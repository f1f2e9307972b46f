"""Planning in a process of its own: all that reads what callers sent, shut in, bounded and killable."""
