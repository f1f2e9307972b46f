"""Films that play while they are made: what of a job's results plays, and the playlists of it."""
