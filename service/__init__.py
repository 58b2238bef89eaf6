"""Face API: finds the faces in a picture and makes them unrecognisable, over HTTP."""

__version__ = "0.1.0"
