"""The soak: seeded days in which everything dies, fails and jumps at random, and the promise is checked at the end."""
