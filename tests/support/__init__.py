"""What tests start and look at: peers, stacks, checkers."""
