"""Everything that knows ROS."""
