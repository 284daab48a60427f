// What files say, turned into what the library knows, compiled once.
#include "g4/load/chat.inl"
#include "g4/load/gguf_vocabulary.inl"
#include "g4/load/tokenizer.inl"
