// What the schema, and operations on it, have to look like: every rule there is, but for those
// that are wrong for us, each with the reason.

import graphql from '@graphql-eslint/eslint-plugin';

const rules = (...names) => Object.assign({}, ...names.map((name) => graphql.configs[name].rules));
const rule = (name, ...options) => ({
  [`@graphql-eslint/${name}`]: options.length ? ['error', ...options] : 'off',
});
const files = (pattern, ...parts) => ({
  files: [pattern],
  plugins: { '@graphql-eslint': graphql },
  languageOptions: {
    parser: graphql.parser,
    parserOptions: { graphQLConfig: { schema: 'schema.graphql', documents: 'operations.graphql' } },
  },
  rules: Object.assign({}, ...parts),
});

export default [
  files(
    'schema.graphql',
    rules('flat/schema-all', 'flat/schema-relay'),
    rule('require-description', {
      types: true,
      rootField: true,
      FieldDefinition: true,
      InputValueDefinition: true,
      EnumValueDefinition: true,
      DirectiveDefinition: false, // the only one is GraphQL's own @oneOf, printed without words
    }),
    rule('input-name', { checkInputType: true, checkQueries: false, checkMutations: true, caseSensitiveInputType: false }),
    rule('strict-id-in-types', {
      exceptions: {
        // An answer, a page or an entry of a page is no thing of its own.
        suffixes: ['Success', 'Refusal', 'Connection', 'Edge'],
        // Neither are these: parts of a thing, found through it. Whatever else has no id is a mistake.
        types: [
          'AuditCheckpoint',
          'AuditProgress',
          'ConsistencyProof',
          'DeployerSettings',
          'DeploymentError',
          'DeploymentPlan',
          'DeploymentRole',
          'DeploymentStepTaken',
          'HistoryChange',
          'HistoryDiff',
          'InclusionProof',
          'InputProblem',
          'LifecycleEntry',
          'Member',
          'Offering',
          'Operation',
          'OperationError',
          'PageInfo',
          'Plan',
          'PlanNote',
          'PlannedAction',
          'RevealedVariable',
          'Revision',
          'RevisionVariable',
          'SubscriptionLine',
          'Viewer',
        ],
      },
    }),
    rule('relay-arguments', { includeBoth: false }), // the log and the two work lists go one way
    rule('relay-edge-types', {
      withEdgeSuffix: true,
      shouldImplementNode: false, // events are found by position, not by id
      listTypeCanWrapOnlyEdgeType: false, // short lists and `nodes` are lists of the things themselves
    }),
    rule('alphabetize'), // the order tells what belongs together, and what comes first
    rule('no-root-type'), // we change things and tell of changes
    rule('require-field-of-type-query-in-mutation-result'), // an answer carries what it changed
  ),
  files(
    'operations.graphql',
    rules('flat/operations-all'),
    rule('alphabetize'), // as above
    rule('lone-executable-definition'), // one file for all, so that they are read together
    rule('match-document-filename'), // as above
    rule('require-import-fragment'), // as above
    rule('no-one-place-fragments'), // a fragment is what one component needs
  ),
];
