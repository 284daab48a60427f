// Text that is safe to show, compiled once.
#include "g4/core/printable.inl"
