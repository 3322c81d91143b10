// A Pub/Sub service in memory on a loopback port, and Google's own client for it.
//
//	pubsub-emulator serve PORT SKIPPED
//	pubsub-emulator topic PROJECT TOPIC
//	pubsub-emulator subscription PROJECT SUBSCRIPTION TOPIC
//	pubsub-emulator publish PROJECT TOPIC
//
// All but the first reach the service that PUBSUB_EMULATOR_HOST names. What is published comes
// from standard input, a JSON object on each line: {"data": "base64", "attributes": {…},
// "orderingKey": "…"}. For each line the message's id is printed, in the same order.
//
// Ids of messages are numbers from 0. Those of the real service never come twice, so a service
// that is started in the place of another one skips those that this one has given.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
)

// Lines may be as long as a message of the service.
const maxLine = 16 << 20

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pubsub-emulator:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 3 {
		return errors.New("serve PORT SKIPPED, topic PROJECT TOPIC, subscription PROJECT SUBSCRIPTION TOPIC or publish PROJECT TOPIC")
	}
	if arguments[0] == "serve" {
		return serve(arguments[1], arguments[2])
	}
	background := context.Background()
	project, name := arguments[1], arguments[2]
	client, err := pubsub.NewClient(background, project)
	if err != nil {
		return err
	}
	defer client.Close()
	topic := func(id string) string { return "projects/" + project + "/topics/" + id }
	switch {
	case arguments[0] == "topic" && len(arguments) == 3:
		_, err = client.TopicAdminClient.CreateTopic(background, &pubsubpb.Topic{Name: topic(name)})
	case arguments[0] == "subscription" && len(arguments) == 4:
		_, err = client.SubscriptionAdminClient.CreateSubscription(background, &pubsubpb.Subscription{
			Name:                  "projects/" + project + "/subscriptions/" + name,
			Topic:                 topic(arguments[3]),
			AckDeadlineSeconds:    10,
			EnableMessageOrdering: true,
		})
	case arguments[0] == "publish" && len(arguments) == 3:
		err = publish(background, client.Publisher(name))
	default:
		err = fmt.Errorf("no such command: %v", arguments)
	}
	return err
}

func serve(port, skipped string) error {
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	ids, err := strconv.Atoi(skipped)
	if err != nil {
		return err
	}
	server := pstest.NewServerWithPort(number)
	defer server.Close()
	for range ids {
		server.Publish("projects/skipped/topics/skipped", []byte("skipped"), nil)
	}
	fmt.Println("serving on", server.Addr)
	select {}
}

func publish(background context.Context, publisher *pubsub.Publisher) error {
	publisher.EnableMessageOrdering = true
	defer publisher.Stop()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, maxLine)
	var results []*pubsub.PublishResult
	for lines.Scan() {
		var line struct {
			Data        []byte
			Attributes  map[string]string
			OrderingKey string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return err
		}
		results = append(results, publisher.Publish(background, &pubsub.Message{
			Data:        line.Data,
			Attributes:  line.Attributes,
			OrderingKey: line.OrderingKey,
		}))
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for _, result := range results {
		id, err := result.Get(background)
		if err != nil {
			return err
		}
		fmt.Println(id)
	}
	return nil
}
