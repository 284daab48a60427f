// Sentences of errors, compiled once.
#include "g4/core/printable.inl"
#include "g4/core/result.inl"
