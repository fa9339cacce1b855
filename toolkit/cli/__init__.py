"""The commands: the only click, the only printing and the only exit of kedge."""
