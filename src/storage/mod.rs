//! A location (local path or URL) to an object store handle: the only place that speaks `object_store`.
