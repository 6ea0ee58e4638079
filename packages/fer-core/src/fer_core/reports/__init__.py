"""Reports: what run folders hold, compared under one protocol and shown in one file."""
