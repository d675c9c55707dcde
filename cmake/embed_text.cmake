# cmake -DINPUT=FILE -DOUTPUT=HEADER -DNAME=kName -P embed_text.cmake: a header that defines the file's
# text as `inline const std::string kName` in concord::report. Compilers limit the length of one literal.
file(READ "${INPUT}" TEXT)
string(LENGTH "${TEXT}" LENGTH)
set(PIECES "std::string()")
set(BEGIN 0)
while(BEGIN LESS LENGTH)
  string(SUBSTRING "${TEXT}" ${BEGIN} 8000 PIECE)
  string(APPEND PIECES " +\n    R\"concord(${PIECE})concord\"")
  math(EXPR BEGIN "${BEGIN} + 8000")
endwhile()
cmake_path(GET INPUT FILENAME FROM)
file(WRITE "${OUTPUT}" "#pragma once
// Made from ${FROM}.

#include <string>

namespace concord::report {
inline const std::string ${NAME} = ${PIECES};
}  // namespace concord::report
")
