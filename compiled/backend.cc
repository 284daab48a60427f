// What of the cpu backends is no template, compiled once.
#include "g4/backend/cpu/panels.inl"
#include "g4/backend/cpu/rank.inl"
#include "g4/backend/cpu/tasks.inl"
#include "g4/backend/cpu/to_panels.inl"
