"""Cameras, projection, triangulation and skeletons: torch and numpy only."""
