// From logits to a token, compiled once.
#include "g4/sample/candidates.inl"
#include "g4/sample/greedy.inl"
#include "g4/sample/sampler.inl"
