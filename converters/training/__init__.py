"""Everything that trains: one loop, what it is fed, who teaches it, and the steps that use it."""
