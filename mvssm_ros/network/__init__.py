"""The MV-SSM network. Imports torch and `mvssm_ros.geometry`, nothing else of the project."""
