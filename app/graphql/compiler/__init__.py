"""From a GraphQL operation to one SQL statement that builds the answer's JSON.

A field of the schema carries its source: where its value comes from. The compiler walks the
selection and asks each source for a SQL expression; variables become parameters. What decides
the shape of the statement (`@skip`, an order, a filter that is there or not) is asked as a
question about the variables, and the plan is used again whenever the answers are the same.

binding      the values of one execution: variables, arguments, what was given beside them
arguments    ... how arguments are made of variables
selection    the fields selected of a type: fragments, aliases, directives
compiling    the walk: objects, parameters, questions
sources      columns, expressions, related rows
connections  keyset pages; `pages` says which one, `cursors` where, `filtering` of which rows
moments      a row as it was; `positions` as clients see them
documents    values inside a JSON document, in SQL or in Python
nodes        things of any type, by id
plans        the statement and its parameters, kept by operation
texts        values as PostgreSQL reads them
access       what a caller may see: the one place
"""
