//! Arguments, one file per command, output, exit codes.
