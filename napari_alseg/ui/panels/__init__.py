"""The parts of the dock; a panel shows values and tells what is pressed."""
