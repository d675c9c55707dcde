#include "engine/pickle.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <utility>

#include "engine/pickle_globals.h"
#include "engine/text.h"
#include "kernels/error.h"

namespace concord {
namespace {

using Kind = PickleValue::Kind;
using Use = GlobalUse;
using Index = Pickle::Index;

// What a hostile name may put into a message: printable, and short.
std::string shown(std::string_view text) {
  std::string result(text.substr(0, 100));
  for (char& c : result)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  return text.size() > 100 ? result + "..." : result;
}

class Machine {
 public:
  Machine(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  Index run() {
    for (std::size_t count = 0;; ++count) {
      at_ = next_;
      require(count < Pickle::kMaxOperations, "more than {} operations", Pickle::kMaxOperations);
      const auto opcode = static_cast<unsigned char>(take(1)[0]);
      if (opcode == '.') return pop();
      step(opcode);
    }
  }
  std::size_t used() const { return next_; }
  std::vector<PickleValue> take_values() { return std::move(values_); }

 private:
  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail("{}: at byte {} of its pickle: {}", where_, at_,
         fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void require(bool condition, fmt::format_string<Args...> format, Args&&... args) const {
    if (!condition) [[unlikely]]
      refuse(format, std::forward<Args>(args)...);
  }

  // --- the bytes ---
  std::string_view take(std::uint64_t count) {
    require(count <= bytes_.size() - next_,
            "{} bytes are needed, {} are left: truncated or damaged", count, bytes_.size() - next_);
    const std::string_view result = bytes_.substr(next_, static_cast<std::size_t>(count));
    next_ += static_cast<std::size_t>(count);
    return result;
  }
  // Little-endian.
  std::uint64_t number(int width) {
    const std::string_view text = take(static_cast<std::uint64_t>(width));
    std::uint64_t value = 0;
    for (int i = width - 1; i >= 0; --i)
      value = (value << 8) | static_cast<unsigned char>(text[static_cast<std::size_t>(i)]);
    return value;
  }
  // Without its newline.
  std::string_view line() {
    const std::size_t end = bytes_.find('\n', next_);
    require(end != std::string_view::npos, "a line does not end: truncated or damaged");
    const std::string_view result = bytes_.substr(next_, end - next_);
    next_ = end + 1;
    return result;
  }

  // --- the stack ---
  void push(Index index) { stack_.push_back(index); }
  Index make(PickleValue value) {
    values_.push_back(std::move(value));
    return static_cast<Index>(values_.size() - 1);
  }
  void push_new(PickleValue value) { push(make(std::move(value))); }
  void push_text(Kind kind, std::string_view text) {
    push_new({.kind = kind, .text = std::string(text)});
  }
  std::size_t height() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }
  Index pop() {
    require(height() > 0, "nothing is on the stack");
    const Index index = stack_.back();
    stack_.pop_back();
    return index;
  }
  Index top() const {
    require(height() > 0, "nothing is on the stack");
    return stack_.back();
  }
  std::vector<Index> pop_to_mark() {
    require(!marks_.empty(), "no mark is on the stack");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Index> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  void push_tuple(std::size_t count) {
    std::vector<Index> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    push_new({.kind = Kind::kTuple, .items = std::move(items)});
  }
  PickleValue& container(Index index, Kind kind) {
    require(values_[index].kind == kind, "{} stands where {} is expected",
            name_of(values_[index].kind), name_of(kind));
    return values_[index];
  }
  void extend(Index index, Kind kind, const std::vector<Index>& items) {
    PickleValue& target = container(index, kind);
    if (kind == Kind::kDict)
      require(items.size() % 2 == 0, "a dict's entries are {} values, an odd number", items.size());
    item_count_ += items.size();
    require(item_count_ <= Pickle::kMaxItems, "more than {} items", Pickle::kMaxItems);
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  // --- the memo ---
  void put(std::uint64_t key) { memo_[key] = top(); }
  void get(std::uint64_t key) {
    const auto found = memo_.find(key);
    require(found != memo_.end(), "entry {} of the memo was never stored", key);
    push(found->second);
  }

  // --- numbers and texts ---
  template <class Number>
  Number parsed(std::string_view text) const {
    Number value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    require(error == std::errc() && end == text.data() + text.size(),
            "\"{}\" is no number of 64 bits", shown(text));
    return value;
  }
  void push_integer(std::int64_t value) { push_new({.kind = Kind::kInteger, .integer = value}); }
  void push_bool(bool value) { push_new({.kind = Kind::kBool, .integer = value}); }
  // Two's complement, little-endian.
  void push_long(std::uint64_t width) {
    require(width <= Pickle::kMaxLongBytes, "a whole number of {} bytes, at most {} are allowed",
            width, Pickle::kMaxLongBytes);
    const std::string_view text = take(width);
    if (width > 8) return push_text(Kind::kLong, text);
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      const bool negative = width > 0 && (static_cast<unsigned char>(text[width - 1]) & 0x80U) != 0;
      const std::uint64_t byte =
          i < width ? static_cast<unsigned char>(text[i]) : (negative ? 0xFFU : 0U);
      bits |= byte << (8 * i);
    }
    push_integer(static_cast<std::int64_t>(bits));
  }
  // `digits` of hexadecimal at `at`.
  std::uint32_t hexadecimal(std::string_view text, std::size_t at, std::size_t digits) const {
    require(digits <= text.size() && at <= text.size() - digits, "an escape is cut off");
    std::uint32_t code = 0;
    const char* begin = text.data() + at;
    const auto [end, error] = std::from_chars(begin, begin + digits, code, 16);
    require(error == std::errc() && end == begin + digits, "an escape is not hexadecimal");
    return code;
  }
  // A string between quotes, as Python 2 wrote it.
  std::string unquoted(std::string_view text) const {
    require(text.size() >= 2 && (text[0] == '\'' || text[0] == '"') && text.back() == text[0],
            "a string has no quotes");
    text = text.substr(1, text.size() - 2);
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        result += text[i];
        continue;
      }
      require(++i < text.size(), "an escape is cut off");
      constexpr std::string_view kEscapes = "\\\\''\"\"n\nt\tr\r";
      if (text[i] == 'x') {
        result += static_cast<char>(hexadecimal(text, i + 1, 2));
        i += 2;
        continue;
      }
      std::size_t found = 0;
      while (found < kEscapes.size() && kEscapes[found] != text[i]) found += 2;
      require(found < kEscapes.size(), "the escape \\{} is not known", shown(text.substr(i, 1)));
      result += kEscapes[found + 1];
    }
    return result;
  }
  // Python's raw-unicode-escape: Latin-1, \uXXXX and \UXXXXXXXX.
  std::string unescaped(std::string_view text) const {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool escape =
          text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 'u' || text[i + 1] == 'U');
      if (!escape) {
        append_utf8(result, static_cast<unsigned char>(text[i]));
        continue;
      }
      const std::size_t digits = text[i + 1] == 'u' ? 4 : 8;
      const std::uint32_t code = hexadecimal(text, i + 2, digits);
      require(code < 0x110000, "\\U{:x} is no character", code);
      append_utf8(result, code);
      i += 1 + digits;
    }
    return result;
  }

  // --- globals and what would be called ---
  void push_global(std::string_view module, std::string_view name) {
    const std::string full = std::string(module) + "." + std::string(name);
    require(use_of_global(full).has_value(),
            "it asks for the Python object {}, which is not read because it could run code; save "
            "plain values and tensors only, such as a network's state_dict()",
            shown(full));
    push_text(Kind::kGlobal, full);
  }
  std::string_view string_at(Index index) { return container(index, Kind::kString).text; }
  void push_call(Index callee, const std::vector<Index>& arguments) {
    const PickleValue& global = container(callee, Kind::kGlobal);
    const std::string name = global.text;
    switch (use_of_global(name).value_or(Use::kName)) {
      case Use::kName:
        refuse("it calls {}, which is not done because it could run code", shown(name));
      case Use::kSize:
        require(arguments.size() == 1, "{} has {} arguments, 1 is expected", name,
                arguments.size());
        container(arguments[0],
                  values_[arguments[0]].kind == Kind::kList ? Kind::kList : Kind::kTuple);
        return push(arguments[0]);
      case Use::kDict:
        return push_dict(name, arguments);
      case Use::kCall:
        item_count_ += arguments.size();
        require(item_count_ <= Pickle::kMaxItems, "more than {} items", Pickle::kMaxItems);
        return push_new({.kind = Kind::kCall, .text = name, .items = arguments});
    }
  }
  // OrderedDict(), OrderedDict(dict) or OrderedDict([(key, value), ...]).
  void push_dict(const std::string& name, const std::vector<Index>& arguments) {
    require(arguments.size() <= 1, "{} has {} arguments, at most 1 is expected", name,
            arguments.size());
    std::vector<Index> items;
    if (!arguments.empty()) {
      const PickleValue& from = values_[arguments[0]];
      if (from.kind == Kind::kDict) {
        items = from.items;
      } else {
        for (const Index pair : container(arguments[0], Kind::kList).items) {
          const PickleValue& entry = values_[pair];
          require(
              (entry.kind == Kind::kTuple || entry.kind == Kind::kList) && entry.items.size() == 2,
              "{} is given {}, pairs are expected", name, name_of(entry.kind));
          items.insert(items.end(), entry.items.begin(), entry.items.end());
        }
      }
    }
    push_new({.kind = Kind::kDict});
    extend(stack_.back(), Kind::kDict, items);
  }
  std::vector<Index> pop_arguments() { return container(pop(), Kind::kTuple).items; }

  void step(unsigned char opcode);

  std::string_view bytes_;
  const std::string& where_;
  std::size_t at_ = 0;    // of the operation
  std::size_t next_ = 0;  // byte to read
  std::vector<PickleValue> values_;
  std::vector<Index> stack_;
  std::vector<std::size_t> marks_;  // heights of the stack
  std::unordered_map<std::uint64_t, Index> memo_;
  std::size_t item_count_ = 0;
};

void Machine::step(unsigned char opcode) {
  switch (opcode) {
    case 0x80: {  // PROTO
      const std::uint64_t protocol = number(1);
      return require(protocol <= 5, "its protocol is {}; 0 to 5 are read", protocol);
    }
    case 0x95: {  // FRAME
      const std::uint64_t length = number(8);
      return require(length <= bytes_.size() - next_,
                     "a frame of {} bytes, {} are left: truncated or damaged", length,
                     bytes_.size() - next_);
    }
    case '(':
      require(marks_.size() < Pickle::kMaxOpenMarks, "values nest deeper than {}",
              Pickle::kMaxOpenMarks);
      return marks_.push_back(stack_.size());
    case '0':  // POP, of a value or a mark
      if (height() == 0 && !marks_.empty())
        marks_.pop_back();
      else
        pop();
      return;
    case '1':
      pop_to_mark();
      return;
    case '2':
      return push(top());

    case 'N':
      return push_new({});
    case 0x88:
      return push_bool(true);
    case 0x89:
      return push_bool(false);
    case 'I': {
      const std::string_view text = line();
      if (text == "00" || text == "01") return push_bool(text == "01");
      return push_integer(parsed<std::int64_t>(text));
    }
    case 'L': {
      std::string_view text = line();
      if (text.ends_with('L')) text.remove_suffix(1);
      return push_integer(parsed<std::int64_t>(text));
    }
    case 'J':
      return push_integer(static_cast<std::int32_t>(static_cast<std::uint32_t>(number(4))));
    case 'K':
      return push_integer(static_cast<std::int64_t>(number(1)));
    case 'M':
      return push_integer(static_cast<std::int64_t>(number(2)));
    case 0x8a:
      return push_long(number(1));
    case 0x8b:
      return push_long(number(4));
    case 'F':
      return push_new({.kind = Kind::kFloat, .number = parsed<double>(line())});
    case 'G': {  // big-endian, unlike all others
      std::uint64_t bits = 0;
      for (const char byte : take(8)) bits = (bits << 8) | static_cast<unsigned char>(byte);
      return push_new({.kind = Kind::kFloat, .number = std::bit_cast<double>(bits)});
    }

    case 'S':
      return push_text(Kind::kString, unquoted(line()));
    case 'V':
      return push_text(Kind::kString, unescaped(line()));
    case 'U':
    case 0x8c:
      return push_text(Kind::kString, take(number(1)));
    case 'T':
    case 'X':
      return push_text(Kind::kString, take(number(4)));
    case 0x8d:
      return push_text(Kind::kString, take(number(8)));
    case 'C':
      return push_text(Kind::kBytes, take(number(1)));
    case 'B':
      return push_text(Kind::kBytes, take(number(4)));
    case 0x8e:
    case 0x96:
      return push_text(Kind::kBytes, take(number(8)));

    case ')':
      return push_new({.kind = Kind::kTuple});
    case ']':
      return push_new({.kind = Kind::kList});
    case '}':
      return push_new({.kind = Kind::kDict});
    case 0x8f:
      return push_new({.kind = Kind::kSet});
    case 0x85:
      return push_tuple(1);
    case 0x86:
      return push_tuple(2);
    case 0x87:
      return push_tuple(3);
    case 't':
      return push_new({.kind = Kind::kTuple, .items = pop_to_mark()});
    case 'l':
      return push_new({.kind = Kind::kList, .items = pop_to_mark()});
    case 0x91:
      return push_new({.kind = Kind::kSet, .items = pop_to_mark()});
    case 'd': {
      const std::vector<Index> items = pop_to_mark();
      push_new({.kind = Kind::kDict});
      return extend(top(), Kind::kDict, items);
    }
    case 'a': {
      const Index item = pop();
      return extend(top(), Kind::kList, {item});
    }
    case 'e': {
      const std::vector<Index> items = pop_to_mark();
      return extend(top(), Kind::kList, items);
    }
    case 0x90: {
      const std::vector<Index> items = pop_to_mark();
      return extend(top(), Kind::kSet, items);
    }
    case 's': {
      const Index value = pop();
      const Index key = pop();
      return extend(top(), Kind::kDict, {key, value});
    }
    case 'u': {
      const std::vector<Index> items = pop_to_mark();
      return extend(top(), Kind::kDict, items);
    }

    case 'p':
      return put(parsed<std::uint64_t>(line()));
    case 'q':
      return put(number(1));
    case 'r':
      return put(number(4));
    case 0x94:
      return put(memo_.size());
    case 'g':
      return get(parsed<std::uint64_t>(line()));
    case 'h':
      return get(number(1));
    case 'j':
      return get(number(4));

    case 'c': {
      const std::string_view module = line();
      return push_global(module, line());
    }
    case 0x93: {  // STACK_GLOBAL
      const Index name = pop();
      const Index module = pop();
      return push_global(string_at(module), string_at(name));
    }
    case 'R':     // REDUCE
    case 0x81: {  // NEWOBJ
      const std::vector<Index> arguments = pop_arguments();
      return push_call(pop(), arguments);
    }
    case 0x92: {  // NEWOBJ_EX
      require(container(pop(), Kind::kDict).items.empty(), "a call with named arguments");
      const std::vector<Index> arguments = pop_arguments();
      return push_call(pop(), arguments);
    }
    case 'o': {  // OBJ
      std::vector<Index> arguments = pop_to_mark();
      require(!arguments.empty(), "an object without a class");
      const Index callee = arguments.front();
      arguments.erase(arguments.begin());
      return push_call(callee, arguments);
    }
    case 'i': {  // INST
      const std::vector<Index> arguments = pop_to_mark();
      const std::string_view module = line();
      push_global(module, line());
      return push_call(pop(), arguments);
    }
    case 'b': {  // BUILD: state_dict()'s _metadata, a Parameter's attributes
      pop();
      const Kind kind = values_[top()].kind;
      return require(kind == Kind::kDict || kind == Kind::kCall, "state is given to {}",
                     name_of(kind));
    }
    case 'P': {
      push_text(Kind::kString, line());
      const Index id = pop();
      return push_new({.kind = Kind::kPersistent, .items = {id}});
    }
    case 'Q': {
      const Index id = pop();
      return push_new({.kind = Kind::kPersistent, .items = {id}});
    }
    case 0x82:
    case 0x83:
    case 0x84:
      refuse("it uses Python's extension registry, which is not read because it could run code");
    case 0x97:
    case 0x98:
      refuse("it refers to buffers outside the file");
    default:
      refuse("0x{:02x} is no operation of a pickle: damaged", opcode);
  }
}

}  // namespace

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "a boolean";
    case Kind::kInteger:
    case Kind::kLong:
      return "a whole number";
    case Kind::kFloat:
      return "a number";
    case Kind::kString:
      return "a string";
    case Kind::kBytes:
      return "bytes";
    case Kind::kList:
      return "a list";
    case Kind::kTuple:
      return "a tuple";
    case Kind::kSet:
      return "a set";
    case Kind::kDict:
      return "a dict";
    case Kind::kGlobal:
      return "a Python name";
    case Kind::kPersistent:
      return "a storage";
    case Kind::kCall:
      return "an object";
  }
  return "an unknown value";
}

Pickle::Pickle(std::string_view bytes, const std::string& where) {
  Machine machine(bytes, where);
  root_ = machine.run();
  used_ = machine.used();
  values_ = machine.take_values();
}

const PickleValue* Pickle::find(const PickleValue& dict, std::string_view key) const {
  if (dict.kind != Kind::kDict) return nullptr;
  for (std::size_t i = dict.items.size(); i >= 2; i -= 2) {
    const PickleValue& name = values_[dict.items[i - 2]];
    if (name.kind == Kind::kString && name.text == key) return &values_[dict.items[i - 1]];
  }
  return nullptr;
}

}  // namespace concord
