"""mutate.py SOURCE OUT FLAGS... - writes SOURCE anew with all of its mutants in it, each chosen while the
program runs (runtime.c), and beside it OUT.json, which says what each one is. A mutant is one small
fault: a condition that is always true or false, a bound that is off by one, another operator, a number
plus or minus one, a statement left out, another result, a case that is never met. ST_MUTANT(n, differs)
notes that mutant n would make a difference here, and is true if it is the one that is chosen.

Tables, initialisers of static storage, macros and headers stay as they are: they are not code that can
choose while it runs. run.py builds and runs; equivalent_FOLDER.txt names the mutants that nothing can see.
"""
import json
import os
import re
import sys

from clang.cindex import CursorKind as K, TypeKind as T

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from expressions import Expressions, INTEGERS

PROLOGUE = """#define ST_MUTANT(id, differs) ((differs) && (st_mutant_seen[id] = 1, st_mutant_active == (id)))
static unsigned char st_mutant_first[%(size)d];
static unsigned char *volatile st_mutant_seen = st_mutant_first;
static volatile unsigned st_mutant_active;
void st_mutation_register(const char *, unsigned, volatile unsigned *, unsigned char *volatile *);
__attribute__((constructor)) static void st_mutant_register(void) {
  st_mutation_register("%(path)s", %(size)d, &st_mutant_active, &st_mutant_seen);
}
#line 1 "%(path)s"
"""


class Mutator(Expressions):
    # ---- statements

    def stmt(self, node):
        text = self.text(node)
        if text.startswith("ST_VERDICT("):  # for valgrind alone
            return text
        if self.opaque(node):
            if node.kind == K.DECL_STMT:
                return text
            return f"if (ST_MUTANT({self.add(node, text, 'nothing')}, 1)) ; else {text}"
        method = getattr(self, "stmt_" + node.kind.name.lower(), None)
        if method:
            return method(node)
        if node.kind.is_expression():
            if text.startswith("(void)") and not text.endswith(")"):
                return text
            mutant = self.add(node, text, "nothing")
            return f"(ST_MUTANT({mutant}, 1) ? (void)0 : (void)({self.expr(node)}))"
        return text

    def either(self, node):
        """The last child of a case or a label, the bodies of an if or a loop."""
        return self.stmt(self.unwrap(node))

    def stmt_compound_stmt(self, node):
        return self.splice(node, [(c, self.either(c)) for c in node.get_children()])

    def stmt_case_stmt(self, node):
        last = list(node.get_children())[-1]
        return self.splice(node, [(last, self.either(last))])

    stmt_default_stmt = stmt_label_stmt = stmt_case_stmt

    def stmt_if_stmt(self, node):
        condition, *bodies = node.get_children()
        # `if (result != OK) return result;`
        guard = re.fullmatch(r"(\w+) != \w+", self.text(condition))
        for body in bodies[:1]:
            last = list(body.get_children())[-1:] if body.kind == K.COMPOUND_STMT else [body]
            if guard and last and last[0].kind == K.RETURN_STMT and self.text(last[0]) == f"return {guard.group(1)}":
                self.other_than_first |= {self.range(c)[0] for c in last[0].get_children()}
        if self.text(condition).startswith("st_impossible("):
            bodies = bodies[1:]  # what is never done
        return self.splice(node, [(condition, self.condition(condition, "TF"))] +
                           [(b, self.either(b)) for b in bodies])

    def stmt_while_stmt(self, node):
        condition, body = node.get_children()
        return self.splice(node, [(condition, self.condition(condition, "F")), (body, self.either(body))])

    def stmt_do_stmt(self, node):
        body, condition = node.get_children()
        return self.splice(node, [(condition, self.condition(condition, "F")), (body, self.either(body))])

    def semicolons(self, node):
        """Where the two of a for statement stand."""
        start, end = self.range(node)
        found, at = [], start
        while at < end and len(found) < 2:
            skip = re.compile(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])*\'|/\*.*?\*/', re.S).match(self.source, at)
            if skip:
                at = skip.end()
                continue
            if self.source[at] == ";":
                found.append(at)
            at += 1
        return found

    def stmt_for_stmt(self, node):
        *head, body = node.get_children()
        first, second = self.semicolons(node)
        parts = [(body, self.either(body))]
        for child in head:
            start = self.range(child)[0]
            if start < first:
                parts.append((child, self.stmt_decl_stmt(child) if child.kind == K.DECL_STMT else self.expr(child)))
            elif start < second:
                parts.append((child, self.condition(child, "F")))
            else:
                parts.append((child, self.step(child)))
        return self.splice(node, parts)

    def step(self, node):
        """Of what a loop does at its end only the numbers change: the rest would never end."""
        node = self.unwrap(node)
        if self.opaque(node):
            return self.text(node)
        if node.kind == K.COMPOUND_ASSIGNMENT_OPERATOR:
            right = list(node.get_children())[1]
            return self.splice(node, [(right, self.expr(right))])
        if node.kind == K.BINARY_OPERATOR and self.operator(node) == ",":
            return self.splice(node, [(c, self.step(c)) for c in node.get_children()])
        if node.kind == K.BINARY_OPERATOR:
            return self.expr(node)
        return self.text(node)

    def cases(self, node, found):
        for child in node.get_children():
            if child.kind == K.CASE_STMT:
                found.append(list(child.get_children())[0])
            if child.kind in (K.CASE_STMT, K.DEFAULT_STMT, K.COMPOUND_STMT, K.LABEL_STMT):
                self.cases(child, found)
        return found

    def stmt_switch_stmt(self, node):
        value, body = node.get_children()
        start, end = self.range(node)
        last = re.search(r"break;[\s}]*\}$", self.source[start:end])
        if last:
            self.last_break.add(start + last.start())
        choices = ""
        for label in self.cases(body, []):
            text = self.text(label)
            mutant = self.add(label, "case " + text, "never")
            choices += f"ST_MUTANT({mutant}, s_ == ({text})) ? 0x7EAD : "
        inner = f"({{ __auto_type s_ = ({self.expr(value)})+0; {choices}s_; }})"
        return self.splice(node, [(value, inner), (body, self.either(body))])

    def jump(self, node):
        if self.range(node)[0] in self.last_break:
            return self.text(node)
        return f"if (ST_MUTANT({self.add(node, self.text(node), 'nothing')}, 1)) ; else {self.text(node)}"

    stmt_break_stmt = stmt_continue_stmt = stmt_goto_stmt = jump

    def stmt_decl_stmt(self, node):
        parts = []
        for variable in node.get_children():
            if variable.kind != K.VAR_DECL or variable.storage_class.name == "STATIC":
                continue
            children = [c for c in variable.get_children() if c.kind.is_expression()]
            if not children or self.opaque(variable):
                continue
            init = self.unwrap(children[-1])
            before = self.source[:self.range(init)[0]].rstrip()
            if before.endswith("="):
                parts.append((init, self.expr(init)))
        return self.splice(node, parts)

    def stmt_return_stmt(self, node):
        children = list(node.get_children())
        if not children:
            return self.jump(node)
        return self.splice(node, [(children[0], self.returned(self.unwrap(children[0])))])

    def constant(self, node):
        """A number or an enum's constant, or None."""
        text = self.text(node)
        if node.kind == K.INTEGER_LITERAL and text.isdigit():
            return int(text)
        if node.kind == K.CHARACTER_LITERAL:
            return 0 if text == "'\\0'" else 1
        if node.kind == K.DECL_REF_EXPR and node.referenced is not None and \
                node.referenced.kind == K.ENUM_CONSTANT_DECL:
            return node.referenced.enum_value
        return None

    def fixed_value(self, node):
        """What a call returns that always returns the same constant, or None."""
        name = self.fixed.get(node.spelling) if node.kind == K.CALL_EXPR else None
        return self.constants.get(name)

    def returned(self, node):
        text = self.text(node)
        if self.result == T.BOOL:
            return self.condition(node, "TF")
        if self.result == T.POINTER:
            if text in ("NULL", "0"):
                return text
            mutant = self.add(node, f"return {text}", "return NULL")
            return f"({{ __auto_type v_ = ({self.expr(node)})+0; ST_MUTANT({mutant}, v_ != 0) ? (__typeof__(v_))0 : v_; }})"
        if self.result not in INTEGERS:
            return self.expr(node)
        value = self.constant(node)
        first, second = self.values
        if value is not None:
            other = second if value == first else first
            return f"(ST_MUTANT({self.add(node, f'return {text}', f'return {other}')}, 1) ? {other} : {text})"
        if node.kind == K.CONDITIONAL_OPERATOR:
            arms = [self.constant(self.unwrap(c)) for c in list(node.get_children())[1:]]
            if None not in arms and first in arms:
                return self.expr(node)  # its condition, true or false, is the same
        fixed = self.fixed_value(node)
        choices = ""
        if fixed != first:
            none = self.add(node, f"return {text}", f"return {first}")
            choices = f"ST_MUTANT({none}, v_ != {first}) ? {first} : "
        if self.range(node)[0] not in self.other_than_first and fixed in (None, first) and \
                not (self.result == T.ENUM and node.spelling in self.failing):
            one = self.add(node, f"return {text}", f"return {second} instead of {first}")
            choices += f"ST_MUTANT({one}, v_ == {first}) ? {second} : "
        return f"({{ __auto_type v_ = ({self.expr(node)})+0; {choices}v_; }})"

    def enumerated(self, kind):
        """The constants of an enum: what a function that returns it may return."""
        values = [c.enum_value for c in kind.get_declaration().get_children() if c.kind == K.ENUM_CONSTANT_DECL]
        # Where 0 is a failure that comes first, or never returned, success is 1.
        return (1, 2) if values[:2] == [0, 1] and len(values) > 2 and self.fails_first(kind) else (0, 1)

    def fails_first(self, kind):
        names = [c.spelling for c in kind.get_declaration().get_children() if c.kind == K.ENUM_CONSTANT_DECL]
        return names[1].endswith("_OK")

    # ---- the file

    def run(self):
        parts, bodies = [], []
        for node in self.unit.cursor.get_children():
            if node.kind == K.FUNCTION_DECL and node.is_definition() and self.here(node) and not self.opaque(node):
                self.function = node.spelling
                self.result = node.result_type.get_canonical().kind
                self.values = (0, 1)
                if self.result == T.ENUM:
                    self.values = self.enumerated(node.result_type.get_canonical())
                body = list(node.get_children())[-1]
                bodies.append((self.range(body), self.stmt_compound_stmt(body)))
        out, at = [], 0
        for (start, end), text in bodies:
            out += [self.source[at:start], text]
            at = end
        out.append(self.source[at:])
        # What occurs more than once in a function has a number.
        times = {}
        for mutant in self.mutants:
            key = f"{mutant['function']}: {mutant['change']} in {mutant['code']}"
            times[key] = times.get(key, 0) + 1
            mutant["key"] = key if times[key] == 1 else f"{key} #{times[key]}"
        prologue = PROLOGUE % {"size": len(self.mutants) + 1, "path": self.path}
        return prologue + "".join(out)


def main():
    source, out, *flags = sys.argv[1:]
    mutator = Mutator(source, flags)
    text = mutator.run()
    with open(out, "wb") as file:
        file.write(text.encode("latin-1"))
    with open(out + ".json", "w", encoding="utf-8") as file:
        json.dump(mutator.mutants, file, indent=0)


main()
