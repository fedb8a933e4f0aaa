// A page of an application built with Relay: a list that grows, one entry of it, a change that
// refreshes what is shown, a refusal, and a subscription.

import { graphql } from 'relay-runtime';

export const page = graphql`
  query AppPageQuery($environment: ID!, $first: Int!, $after: String) {
    environment(by: { id: $environment }) {
      id
      name
      ...AppServices @arguments(first: $first, after: $after)
    }
  }
`;

export const services = graphql`
  fragment AppServices on Environment
  @refetchable(queryName: "AppServicesPaginationQuery")
  @argumentDefinitions(first: { type: "Int!" }, after: { type: "String" }) {
    serviceInstances(first: $first, after: $after) @connection(key: "App_serviceInstances") {
      edges {
        node {
          ...AppService
        }
      }
    }
  }
`;

export const service = graphql`
  fragment AppService on ServiceInstance @refetchable(queryName: "AppServiceRefetchQuery") {
    id
    prefix
    state
    version
    updatedAt
    parameters
    environment {
      name
    }
  }
`;

export const detach = graphql`
  mutation AppDetachMutation($input: DetachServiceInput!) {
    detachService(input: $input) {
      __typename
      ... on DetachServiceSuccess {
        position
        serviceInstance {
          ...AppService
        }
      }
      ... on Refusal {
        code
        message
      }
      ... on ConflictRefusal {
        currentVersion
      }
    }
  }
`;

export const changes = graphql`
  subscription AppChangesSubscription($environment: ID!) {
    serviceInstanceChanges(environment: $environment) {
      ...AppService
    }
  }
`;
