"""Channel pruning: whole channels are taken out, so that the file gets smaller and faster."""
