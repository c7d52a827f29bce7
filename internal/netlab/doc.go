// Package netlab is a network of several hosts on one machine, for tests: a switch
// and hosts in network namespaces of their own, with a cable from each host to the
// switch that can be pulled, firewalls, addresses that move, and a hosts file and a
// /run for each. Nothing of it can reach the machine's own network, or be reached
// from there.
//
// Namespaces here have no names. The processes in them hold them, and these end
// with the process that made the lab, however that ends; so there is never
// anything left to clean up.
package netlab
