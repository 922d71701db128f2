"""Stage 2, identity: landed files become exports, and each export becomes one delivery per segment."""
