"""The explorer: GraphiQL 5, served by us, with a tour of the API in its editor.

web/            the page: main.js and token.js (the token moves from the address bar into the
                tab's session), explorer.js (GraphiQL), tour.graphql and its variables
build_hook.py   builds web/ into dist/ when the project is installed; the server runs without
serving.py      the page, its assets and the policy that keeps every request on this origin
"""
