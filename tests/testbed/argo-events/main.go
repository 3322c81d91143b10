// One event source or one sensor of Argo Events, as its released module runs it in a pod.
//
//	argo-events eventsource -nats URL -object FILE
//	argo-events sensor -nats URL -object FILE -kubeconfig FILE
//
// FILE holds the object in JSON, with its namespace. The bus is JetStream at URL, over TLS, with
// the stream that Argo Events makes where nothing else is said, but on one server.
//
// It differs from the commands of a pod in where the configuration comes from, and has no server
// of metrics, whose port would be the same for all.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/manager/signals"

	"github.com/argoproj/argo-events/pkg/apis/events/v1alpha1"
	"github.com/argoproj/argo-events/pkg/eventsources"
	"github.com/argoproj/argo-events/pkg/metrics"
	"github.com/argoproj/argo-events/pkg/sensors"
	"github.com/argoproj/argo-events/pkg/shared/logging"
	sharedutil "github.com/argoproj/argo-events/pkg/shared/util"
)

// What the controller's configuration says of the stream, on one server instead of three.
const streamConfig = "maxMsgs: 50000\nmaxAge: 168h\nmaxBytes: -1\nreplicas: 1\nduplicates: 300s\nretention: 0\ndiscard: 0\n"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "argo-events:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("eventsource or sensor")
	}
	role, flags := arguments[0], flag.NewFlagSet("argo-events", flag.ContinueOnError)
	url := flags.String("nats", "", "the server")
	object := flags.String("object", "", "the file of the object")
	kubeconfig := flags.String("kubeconfig", "", "where a sensor creates objects")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	text, err := os.ReadFile(*object)
	if err != nil {
		return err
	}
	bus := &v1alpha1.BusConfig{JetStream: &v1alpha1.JetStreamConfig{URL: *url, StreamConfig: streamConfig}}
	logger := logging.NewArgoEventsLogger().Named(role)
	stopped := logging.WithLogger(signals.SetupSignalHandler(), logger)
	switch role {
	case "eventsource":
		return eventSource(stopped, text, bus)
	case "sensor":
		return sensor(stopped, text, bus, *kubeconfig)
	default:
		return fmt.Errorf("%q is neither eventsource nor sensor", role)
	}
}

func eventSource(stopped context.Context, text []byte, bus *v1alpha1.BusConfig) error {
	object := &v1alpha1.EventSource{}
	if err := json.Unmarshal(text, object); err != nil {
		return err
	}
	numbers := metrics.NewMetrics(object.Namespace)
	return eventsources.NewEventSourceAdaptor(object, bus, subject(object.Namespace), object.Name, numbers).Start(stopped)
}

func sensor(stopped context.Context, text []byte, bus *v1alpha1.BusConfig, kubeconfig string) error {
	object := &v1alpha1.Sensor{}
	if err := json.Unmarshal(text, object); err != nil {
		return err
	}
	config, err := sharedutil.GetClientConfig(kubeconfig)
	if err != nil {
		return err
	}
	objects, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	anything, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	numbers := metrics.NewMetrics(object.Namespace)
	return sensors.NewSensorContext(objects, anything, object, bus, subject(object.Namespace), object.Name, numbers).Start(stopped)
}

// The name of the bus for clients, which JetStream does not use.
func subject(namespace string) string {
	return "eventbus-" + namespace
}
