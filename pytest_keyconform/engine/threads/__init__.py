"""Real threads under control: one runs at a time, and a chooser decides at every visible instruction who goes on."""
