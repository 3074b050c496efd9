/* GET /openapi.json: the description of every route for programs and their authors. It is a file of
 * the program, src/page/openapi.json, which tests/e2e/openapi.py holds every answer against. It is
 * there whether the page is or not.
 */
#include "base/impossible.h"
#include "service/endpoints.h"
#include "service/static_file.h"

const st_problem *st_openapi_answer(st_context *c) {
  static const st_problem none = {
      .status = 404, .event = "not_found", .text = "there is no such endpoint"};
  const st_page_file *file = st_page_files_find(ST_TEXT("openapi.json"));
  if (st_impossible(file == NULL, "it is part of the program")) return &none;
  st_static_file_answer(c, file);
  return NULL;
}
