// From a path to an opened checkpoint, compiled once.
#include "g4/open/checkpoint.inl"
#include "g4/open/towers_beside.inl"
