"""What each vendor's cameras send. Pure: an event in, messages out; nothing is opened and no clock is asked."""
