//! Tables and views registered with the query engine; parameters bound, queries planned and streamed, files written.
