"""What data sets are here, and what their files hold, without reading a picture."""
