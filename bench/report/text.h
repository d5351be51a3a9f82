// Text: how numbers look to people, and which name was meant. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tarn::bench {

std::string Count(uint64_t number);      // "286,548"
std::string Grouped(double number);      // the same; below 100 with the digits that matter: "12.3"
std::string Micros(double us);           // three digits that matter: "0.42", "9.1", "185", "27,034"
std::string Ratio(double ratio);         // "1.85x"
std::string HumanBytes(uint64_t bytes);  // "256 MiB": exact, or with one decimal
std::string HumanSeconds(double s);      // "40 s", "12 min", "2 h 5 min"
std::string Join(const std::vector<std::string>& words, const std::string& between);
std::vector<std::string> Split(const std::string& text, char at);  // empty pieces are left out

// "; did you mean 'a' or 'b'?" for the names that are nearest to `word`, or "" when none is near enough to be meant.
std::string DidYouMean(const std::string& word, const std::vector<std::string>& names);

}  // namespace tarn::bench
