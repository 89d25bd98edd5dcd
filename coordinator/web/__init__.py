"""Devices over HTTP: the methods of DeviceService over the Connect protocol, for browsers. Needs the extra `web`."""
