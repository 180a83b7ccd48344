"""The proofs that what is served equals what was trained, and the way from one to the other."""
