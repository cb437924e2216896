"""Pictures of people with volume in a furnished room, for any rig: batched, on CPU or GPU.

`Stage` says what stands where, `render` makes every camera's picture of it, `sensor` what a real
camera would have made of that. Every pixel is a ray, distortion included, so what is drawn is what
the calibration says.
"""
