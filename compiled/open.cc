// From a path to an opened checkpoint, compiled once.
#include "g4/open/checkpoint.inl"
