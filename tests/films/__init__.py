"""Films of many conditions, made with ffmpeg, and a judge of what is made of them."""
