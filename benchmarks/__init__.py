"""What Umbel costs beside its peers, measured in the same run: `make bench`."""
