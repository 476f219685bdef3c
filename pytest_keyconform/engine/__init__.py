"""Making histories: the clock, the loop, the search for schedules, and the runners."""
