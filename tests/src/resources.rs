//! The YAML that tests give to the daemon.
//!
//! Everything is in the namespace `ci`; the event source is `builds`, its event `completed`.

/// An event source with one webhook.
pub fn event_source(port: u16) -> String {
    format!(
        r#"apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata:
  name: builds
  namespace: ci
spec:
  webhook:
    completed:
      port: "{port}"
      endpoint: /builds
      method: POST
"#
    )
}

const DEPENDENCY: &str = r"  dependencies:
    - name: build-completed
      eventSourceName: builds
      eventName: completed
      filters:
        data:
          - path: body.action
            type: string
            value: [ACTION]
";

/// A sensor that submits a workflow for each event whose `action` is `completed`. The
/// workflow has the correlation id of the event as its first parameter.
pub fn workflow_sensor(name: &str) -> String {
    workflow_sensor_for(name, "completed")
}

/// Likewise, for each event with this `action`.
pub fn workflow_sensor_for(name: &str, action: &str) -> String {
    let dependency = DEPENDENCY.replace("ACTION", action);
    format!(
        r#"apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata:
  name: {name}
  namespace: ci
spec:
{dependency}  triggers:
    - template:
        name: deploy-workflow
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata:
                generateName: {name}-
              spec:
                entrypoint: deploy
                arguments:
                  parameters:
                    - name: correlation-id
                      value: ""
                templates:
                  - name: deploy
                    container:
                      image: registry.example.com/deployer:1
          parameters:
            - src:
                dependencyName: build-completed
                dataKey: body.correlation_id
              dest: spec.arguments.parameters.0.value
"#
    )
}

/// A sensor that sends a request to `url` for each event whose `action` is `completed`; at
/// most `max_in_flight` at once.
pub fn http_sensor(name: &str, url: &str, max_in_flight: u32) -> String {
    let dependency = DEPENDENCY.replace("ACTION", "completed");
    format!(
        r#"apiVersion: tripline.dev/v1
kind: Sensor
metadata:
  name: {name}
  namespace: ci
spec:
{dependency}  triggers:
    - template:
        name: call
        http:
          url: {url}
          method: POST
          payload:
            - src:
                dependencyName: build-completed
                dataKey: body.correlation_id
              dest: correlationId
      maxInFlight: {max_in_flight}
"#
    )
}
