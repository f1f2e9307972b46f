"""What a media file holds: probing, clocks, containers."""
