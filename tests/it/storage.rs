//! The same project from local files and from an S3 endpoint.
