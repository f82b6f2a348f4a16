//! Process life: configuration, tracing, clock, health, drain.
